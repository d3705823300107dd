//! Who brings the cluster back, and on what.

/// A way to bring a cluster back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// `kubectl apply` of what `recover` applies, and Argo CD.
    ArgoCd,
    /// `recover` on the same cluster.
    Elsewhere,
    /// `recover` where the control plane is ours as well.
    Drill,
}

impl Contestant {
    /// All of them, in the order of their turns.
    pub(crate) const ALL: [Self; 3] = [Self::ArgoCd, Self::Elsewhere, Self::Drill];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD, given the root by kubectl",
            Self::Elsewhere => "recover, on the same cluster",
            Self::Drill => "recover, in the drill's settings",
        }
    }

    /// What it is asked for by.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ArgoCd => "argocd",
            Self::Elsewhere => "elsewhere",
            Self::Drill => "drill",
        }
    }

    /// What the engine is told of the cluster.
    pub(crate) fn cluster(self) -> &'static [&'static str] {
        match self {
            Self::ArgoCd | Self::Elsewhere => &["--keep-defaults"],
            Self::Drill => &[],
        }
    }
}
