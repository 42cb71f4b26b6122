//! Views with a shape, for those who compute with `ndarray` (feature `ndarray`).

use super::array::ArrayGuard;
use super::claimed::PartGuard;
use super::frozen::FrozenArray;
use super::plain::Plain;
use crate::error::{Error, ErrorKind, Result};
use ndarray::{ArrayView, ArrayViewMut, Dimension, StrideShape};

fn no_shape(len: usize, error: ndarray::ShapeError) -> Error {
    let text = format!("{len} elements cannot be seen in this shape: {error}");
    Error::of(ErrorKind::InvalidInput, text).with_source(error)
}

/// ndarray is content with a slice that is too long.
fn check(shape: usize, len: usize) -> Result<()> {
    if shape == len {
        return Ok(());
    }
    let text = format!("{len} elements cannot be seen in a shape of {shape}");
    Err(Error::of(ErrorKind::InvalidInput, text))
}

macro_rules! view {
    ($type:ty) => {
        impl<T: Plain> $type {
            /// The elements in a shape, in place: `guard.view((rows, columns))`. Needs the feature `ndarray`.
            ///
            /// # Errors
            ///
            /// [`is_invalid_input`](crate::Error::is_invalid_input) if the shape has another number of elements.
            pub fn view<D: Dimension>(
                &self,
                shape: impl Into<StrideShape<D>>,
            ) -> Result<ArrayView<'_, T, D>> {
                let len = self.len();
                let view =
                    ArrayView::from_shape(shape, self).map_err(|error| no_shape(len, error))?;
                check(view.len(), len).map(|()| view)
            }
        }
    };
}

macro_rules! view_mut {
    ($type:ty) => {
        impl<T: Plain> $type {
            /// The elements in a shape, in place and to be written to. Needs the feature `ndarray`.
            ///
            /// # Errors
            ///
            /// [`is_invalid_input`](crate::Error::is_invalid_input) if the shape has another number of elements.
            pub fn view_mut<D: Dimension>(
                &mut self,
                shape: impl Into<StrideShape<D>>,
            ) -> Result<ArrayViewMut<'_, T, D>> {
                let len = self.len();
                let view =
                    ArrayViewMut::from_shape(shape, self).map_err(|error| no_shape(len, error))?;
                check(view.len(), len).map(|()| view)
            }
        }
    };
}

view!(ArrayGuard<'_, T>);
view!(PartGuard<'_, T>);
view!(FrozenArray<T>);
view_mut!(ArrayGuard<'_, T>);
view_mut!(PartGuard<'_, T>);
