//! The ConnectionState machine of a custom key store: pure, no IO, no clock.
