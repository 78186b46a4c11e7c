terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.84"
    }
  }
}

variable "proxy_uri_path" {}
variable "access_key_id" {}
variable "secret_access_key" { sensitive = true }
variable "external_key_id" {}
variable "connected" { default = false }

data "aws_caller_identity" "me" {}

resource "aws_kms_custom_key_store" "nile" {
  custom_key_store_name  = "nile"
  custom_key_store_type  = "EXTERNAL_KEY_STORE"
  xks_proxy_connectivity = "PUBLIC_ENDPOINT"
  xks_proxy_uri_endpoint = "https://xks.test"
  xks_proxy_uri_path     = var.proxy_uri_path
  xks_proxy_authentication_credential {
    access_key_id         = var.access_key_id
    raw_secret_access_key = var.secret_access_key
  }
}

resource "aws_kms_key" "external" {
  count                   = var.connected ? 1 : 0
  custom_key_store_id     = aws_kms_custom_key_store.nile.id
  xks_key_id              = var.external_key_id
  deletion_window_in_days = 7
}

resource "aws_kms_key" "plain" {
  description             = "outside"
  enable_key_rotation     = true
  rotation_period_in_days = 180
  deletion_window_in_days = 7
  tags                    = { river = "Nile" }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "all"
      Effect    = "Allow"
      Action    = "kms:*"
      Resource  = "*"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }
    }]
  })
}

resource "aws_kms_alias" "plain" {
  name          = "alias/plain"
  target_key_id = aws_kms_key.plain.key_id
}

resource "aws_kms_grant" "plain" {
  name              = "worker"
  key_id            = aws_kms_key.plain.key_id
  grantee_principal = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:role/Worker"
  operations        = ["Encrypt", "Decrypt"]
  constraints {
    encryption_context_equals = { Department = "Finance" }
  }
}

output "store" { value = aws_kms_custom_key_store.nile.id }
