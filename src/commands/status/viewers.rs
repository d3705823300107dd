//! Who `status --watch` shows it to: a screen, a log, or a program.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::watch::{self, News, Viewer};
use super::{document, show};
use crate::cli::Output;
use crate::commands::Context;
use crate::domain::ClusterName;
use crate::error::Result;
use crate::event::Event;
use crate::plan::status::Status;
use crate::plan::status::change::between;
use crate::ports::Cluster;
use crate::report::{self, Circumstances, Line, Screen, Style};

/// Watches until the run is cancelled, or until nobody reads any more; how it stood last, or none if the cluster has no Argo CD.
pub(super) async fn watch(
    cluster: &dyn Cluster,
    name: Option<&ClusterName>,
    fold: Option<usize>,
    style: &Style,
    context: &Context,
) -> Result<Option<Status>> {
    let cancel = &context.cancel;
    match (context.global.output, Screen::open(style, fold)) {
        (Output::Json, _) => {
            let found = watch::watch(cluster, name, &mut Program { context }, cancel).await?;
            if let Some(status) = &found {
                context.events.send(Event::Finished { result: document(status)? });
            }
            Ok(found)
        }
        (Output::Text, Some(screen)) => {
            let mut picture = Picture { screen, lost: None, resizes: Resizes::new() };
            let found = watch::watch(cluster, name, &mut picture, cancel).await;
            // What was on the screen stays to be read, in a window that may have another size by now.
            drop(picture);
            let style = report::style(&Circumstances::of(&context.global, &context.environment));
            found?.map(|status| show(&status, fold, &style, context).map(|()| status)).transpose()
        }
        (Output::Text, None) => watch::watch(cluster, name, &mut Log { fold, style, context }, cancel).await,
    }
}

/// A picture on a terminal, drawn anew in place.
struct Picture {
    screen: Screen,
    lost: Option<String>,
    resizes: Resizes,
}

/// The signals that the window has another size (SIGWINCH); none come where there are no such signals.
struct Resizes {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl Resizes {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Viewer for Picture {
    fn on(&mut self, news: News<'_>) -> Result<bool> {
        match news {
            News::Stands(now) | News::Changed { now, .. } | News::Tick(now) => {
                self.screen.draw(now, self.lost.as_deref(), Timestamp::now());
            }
            News::Lost(why) => self.lost = Some(why.to_owned()),
            News::Resumed => self.lost = None,
        }
        Ok(true)
    }

    fn disturbed(&mut self) -> BoxFuture<'_, ()> {
        self.resizes.next().boxed()
    }
}

/// Lines for a log: how it stands at first, then one for each change.
struct Log<'a> {
    fold: Option<usize>,
    style: &'a Style,
    context: &'a Context,
}

impl Viewer for Log<'_> {
    fn on(&mut self, news: News<'_>) -> Result<bool> {
        match news {
            News::Stands(now) => show(now, self.fold, self.style, self.context)?,
            News::Changed { before, now } => {
                let mut lines: Vec<Line> =
                    between(before, now).iter().filter_map(|change| Some(Line::of(change.line()?).hanging(2))).collect();
                if now.converged && !before.converged {
                    lines.push(Line::of("everything is Synced and Healthy"));
                }
                now.warnings
                    .iter()
                    .filter(|warning| !before.warnings.contains(warning))
                    .for_each(|warning| self.context.events.warn(warning, None));
                report::show(&lines, self.style);
            }
            News::Lost(why) => self.context.events.warn(format!("the connection is lost and will be made again: {why}"), None),
            News::Resumed => report::talk(&[Line::of("connected again")], self.style),
            News::Tick(_) => {}
        }
        Ok(!report::is_unread())
    }
}

/// Events for a program: how it stands at first, then one for each change.
struct Program<'a> {
    context: &'a Context,
}

impl Viewer for Program<'_> {
    fn on(&mut self, news: News<'_>) -> Result<bool> {
        let events = &self.context.events;
        match news {
            News::Stands(now) => events.send(Event::Status { status: document(now)? }),
            News::Changed { before, now } => {
                for change in between(before, now) {
                    events.send(Event::Application { change: change.word(), application: document(change.application())? });
                }
                now.warnings.iter().filter(|warning| !before.warnings.contains(warning)).for_each(|warning| events.warn(warning, None));
            }
            News::Lost(why) => events.send(Event::Connection { connected: false, message: why.to_owned() }),
            News::Resumed => events.send(Event::Connection { connected: true, message: "connected again".to_owned() }),
            News::Tick(_) => {}
        }
        Ok(!report::is_unread())
    }
}
