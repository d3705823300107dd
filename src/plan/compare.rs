//! Whether an object in the cluster is as it was declared.
