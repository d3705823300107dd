//! Whole recipes on ports in memory: run twice, killed anywhere and run again, raced, and refused.

mod fleet;
mod init;
mod memory;
