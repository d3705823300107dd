//! The ports in memory, with a switch for faults at each step.
