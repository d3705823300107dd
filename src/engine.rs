//! Runs a recipe: look, decide, apply, look again; emits events, and stops when told to.
