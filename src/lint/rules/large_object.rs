//! A client-side apply writes the whole object into an annotation, and the API server takes 262,144 bytes of annotations
//! (`TotalAnnotationSizeLimitB` in k8s.io/apimachinery).

use std::io::{self, Write};

use crate::domain::application::SERVER_SIDE_APPLY;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

/// The most bytes in the annotations of an object.
const MOST: usize = 262_144;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for (document, application) in cluster.objects() {
        let is_server_side = [SERVER_SIDE_APPLY, "Replace=true"]
            .into_iter()
            .any(|option| application.has_sync_option(option) || document.has_sync_option(option));
        // An object takes about as much as JSON as it does as YAML.
        if is_server_side || document.text.len() < MOST / 2 {
            continue;
        }
        let mut size = Size(0);
        let is_written = serde_json::to_writer(&mut size, document.object.value()).is_ok();
        if is_written && size.0 > MOST {
            drafts.push(document.draft(
                "/metadata/name",
                format!("has {} bytes, and `{}` applies it on the client's side, where {MOST} is the most", size.0, application.name()),
                format!("add `ServerSideApply=true` to the `syncOptions` of `{}`", application.name()),
            ));
        }
    }
    drafts
}

/// Counts what is written.
struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
