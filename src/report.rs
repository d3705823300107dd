//! Events to text: the only writer to the standard streams.
