//! SigV4, credentials and Regions.
