//! Durations as people write them.

use std::time::Duration;

/// Reads a duration such as `90s`, `10m` or `1h30m`; the error is a full sentence.
pub fn parse(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{}` is not a duration: write it as `90s`, `10m` or `1h30m`", text.escape_debug()))?;
    Duration::try_from(span).ok().filter(|duration| !duration.is_zero()).ok_or_else(|| format!("`{text}` is not longer than nothing"))
}
