//! How long things took: requests, and jobs of the controller.

use super::family::Family;
use crate::{clock::durations::Timings, controller::Activity, serve::http::requests};

/// The families of all requests, and of the jobs of the controller.
pub fn families(jobs: &[(Activity, Timings)]) -> prometheus::Result<[Family; 2]> {
    let help = "How long requests took until their answers began; those without a route are only counted.";
    let labels = ["listener", "route", "method"];
    let mut answers = Family::histogram("portcullis_http_request_duration_seconds", help, &labels)?;
    for ((listener, route, method), timings) in requests::timings() {
        answers.push_timings(&[listener, route, method], &timings);
    }
    let help = "How long jobs of the controller took, the disk and the kernel included: `push`, `reload`, `apply` and so on, one \
                after the other.";
    let mut all = Family::histogram("portcullis_controller_job_duration_seconds", help, &["task"])?;
    for (job, timings) in jobs {
        all.push_timings(&[job.label()], timings);
    }
    Ok([answers, all])
}
