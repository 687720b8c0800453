//! Binds tensor names to matrices whose shapes are verified against the configuration.
