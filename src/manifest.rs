//! Values in, documents out. Reads nothing but what is embedded in the binary. Pure.
