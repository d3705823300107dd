//! An unreliable way to an API server, for the drill: below the retries, so that these are what is rehearsed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, Service};

use crate::domain::Flakiness;

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Answered,
    /// 503 without having been looked at.
    Unavailable,
    /// 429 without having been looked at.
    TooMany,
    /// The connection is cut before the request.
    Cut,
    /// The request is carried out, and its answer is lost.
    AnswerLost,
}

/// Chooses what is done to each request. Clones choose from the same sequence.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    percent: u8,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl Dice {
    pub(super) fn new(flakiness: Flakiness) -> Self {
        Self { percent: flakiness.percent(), random: Arc::new(Mutex::new(fastrand::Rng::with_seed(flakiness.seed()))) }
    }

    fn roll(&self) -> Fate {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if random.u8(0..100) >= self.percent {
            return Fate::Answered;
        }
        match random.u8(0..4) {
            0 => Fate::Unavailable,
            1 => Fate::TooMany,
            2 => Fate::Cut,
            _ => Fate::AnswerLost,
        }
    }
}

/// A way to a server that loses some of what goes over it.
#[derive(Clone)]
pub(super) struct Flaky<S> {
    pub(super) inner: S,
    pub(super) dice: Dice,
}

impl<S, B> Service<Request<Body>> for Flaky<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fate = self.dice.roll();
        match fate {
            Fate::Unavailable => Box::pin(async { Ok(refusal(StatusCode::SERVICE_UNAVAILABLE)?.map(Either::Right)) }),
            Fate::TooMany => Box::pin(async { Ok(refusal(StatusCode::TOO_MANY_REQUESTS)?.map(Either::Right)) }),
            Fate::Cut => Box::pin(async { Err(cut()) }),
            Fate::Answered | Fate::AnswerLost => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let answer = answer.await?;
                    if fate == Fate::AnswerLost { Err(cut()) } else { Ok(answer.map(Either::Left)) }
                })
            }
        }
    }
}

fn cut() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut on request").into()
}

/// An answer as the API server gives it when it has too much to do.
fn refusal(status: StatusCode) -> Result<Response<Full<Bytes>>, http::Error> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "refused on request", "code": status.as_u16()});
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").header(header::RETRY_AFTER, "1");
    response.body(Full::new(Bytes::from(body.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(text: &str, count: usize) -> Vec<Fate> {
        let dice = Dice::new(text.parse().unwrap());
        (0..count).map(|_| dice.roll()).collect()
    }

    #[test]
    fn the_same_seed_chooses_the_same_requests() {
        assert_eq!(fates("20%:7", 200), fates("20%:7", 200));
        assert_ne!(fates("20%:7", 200), fates("20%:8", 200));
    }

    #[test]
    fn as_many_requests_fail_as_were_asked_for_and_in_every_way() {
        let fates = fates("20%:1", 10_000);
        let failed = fates.iter().filter(|fate| **fate != Fate::Answered).count();
        assert!((1800..2200).contains(&failed), "{failed}");
        for fate in [Fate::Unavailable, Fate::TooMany, Fate::Cut, Fate::AnswerLost] {
            assert!(fates.contains(&fate), "{fate:?}");
        }
    }

    #[tokio::test]
    async fn a_request_whose_answer_is_lost_was_carried_out() {
        let reached = Arc::new(Mutex::new(0));
        let counted = reached.clone();
        let inner = tower::service_fn(move |_request: Request<Body>| {
            *counted.lock().unwrap() += 1;
            async { Ok::<_, BoxError>(Response::new(Body::empty())) }
        });
        let dice = Dice::new("90%:3".parse().unwrap());
        let expected = dice.clone();
        *expected.random.lock().unwrap() = fastrand::Rng::with_seed(3);
        let mut flaky = Flaky { inner, dice: Dice::new("90%:3".parse().unwrap()) };
        for _ in 0..100 {
            let (before, fate) = (*reached.lock().unwrap(), expected.roll());
            let answer = flaky.call(Request::new(Body::empty())).await;
            assert_eq!(*reached.lock().unwrap() - before, i32::from(matches!(fate, Fate::Answered | Fate::AnswerLost)), "{fate:?}");
            match fate {
                Fate::Answered => assert_eq!(answer.unwrap().status(), StatusCode::OK),
                Fate::Unavailable => assert_eq!(answer.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE),
                Fate::TooMany => assert_eq!(answer.unwrap().status(), StatusCode::TOO_MANY_REQUESTS),
                Fate::Cut | Fate::AnswerLost => assert!(answer.is_err()),
            }
        }
    }
}
