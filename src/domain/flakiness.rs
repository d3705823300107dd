//! How unreliable a server is made on request.

use std::fmt;
use std::str::FromStr;

/// The share of requests that fail on request, and the seed of the dice that choose them: `20%`, or `20%:7` with a seed. The same seed makes the same
/// choices for the same requests in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flakiness {
    percent: u8,
    seed: u64,
}

/// A text that is no share of requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share of requests: write it as `20%`, with a seed as `20%:7`; the most is 90%")]
pub struct InvalidFlakiness(String);

impl Flakiness {
    /// The most: with more, a run of hundreds of requests has no chance.
    const MOST: u8 = 90;

    /// How many of a hundred requests fail.
    pub const fn percent(self) -> u8 {
        self.percent
    }

    /// The seed.
    pub const fn seed(self) -> u64 {
        self.seed
    }
}

impl FromStr for Flakiness {
    type Err = InvalidFlakiness;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidFlakiness(text.escape_default().to_string());
        let (share, seed) = text.split_once(':').unwrap_or((text, "1"));
        let percent: u8 = share.strip_suffix('%').unwrap_or(share).parse().map_err(|_| invalid())?;
        let seed = seed.parse().map_err(|_| invalid())?;
        if (1..=Self::MOST).contains(&percent) { Ok(Self { percent, seed }) } else { Err(invalid()) }
    }
}

impl fmt::Display for Flakiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%:{}", self.percent, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_percent_and_read_back_the_same() {
        assert_eq!("20%".parse(), Ok(Flakiness { percent: 20, seed: 1 }));
        assert_eq!("20".parse(), Ok(Flakiness { percent: 20, seed: 1 }));
        let seeded: Flakiness = "35%:7".parse().unwrap();
        assert_eq!((seeded.percent(), seeded.seed(), seeded.to_string().parse()), (35, 7, Ok(seeded)));
        for bad in ["", "0%", "100%", "0.2", "-1%", "20%:x", "20%:"] {
            assert!(bad.parse::<Flakiness>().is_err(), "{bad}");
        }
    }
}
