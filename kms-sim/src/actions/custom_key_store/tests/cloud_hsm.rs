//! CloudHSM key stores.
