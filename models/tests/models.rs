//! Runs every model as a test.

/// A test for each function of a module of models.
macro_rules! models {
    ($($module:ident: $($model:ident)+;)+) => {
        $(mod $module {
            $(#[test]
            fn $model() {
                multiproc_models::checks::$module::$model();
            })+
        })+
    };
}

models! {
    lock:
        three_exclude_each_other_and_all_come_through
        a_waker_that_finds_nobody_strands_nobody
        fairness_stops_nobody
        a_death_at_any_step_stops_nobody;
}
