//! The steps: each looks, asks the plan, and writes.
