//! VPC endpoint services.
