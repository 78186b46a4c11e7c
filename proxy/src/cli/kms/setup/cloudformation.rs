//! A template for what CloudFormation can do, which does not include the key store itself.

use std::fmt::Write as _;

use super::Plan;

pub(super) fn text(plan: &Plan) -> String {
    let keys = plan.named_keys('x');
    let mut text = format!(
        "# CloudFormation has no resource for custom key stores, and AWS::KMS::Key has neither CustomKeyStoreId nor XksKeyId:\n\
         # it can create neither the external key store {prefix:?} nor its KMS keys. Those are made by\n\
         #   xks-proxy kms link --config {config} --uri-endpoint {endpoint}\n\
         #   xks-proxy kms create-key EXTERNAL_KEY --config {config}\n\
         # or by `xks-proxy kms setup` with another --format. This template has what is around them: who may do that, aliases\n\
         # for keys that are there, alarms{and_service}.\n\
         AWSTemplateFormatVersion: \"2010-09-09\"\n\
         Description: Around the external key store {name}\n",
        prefix = plan.prefix,
        config = plan.config,
        endpoint = plan.uri_endpoint,
        name = quoted(&plan.name),
        and_service = match plan.vpc_endpoint_service_name {
            Some(_) => ", and the VPC endpoint service",
            None => "",
        },
    );
    text.push_str("Parameters:\n  CustomKeyStoreId:\n    Type: String\n    AllowedPattern: cks-[0-9a-z]+\n    Description: Of `xks-proxy kms link`\n");
    let host = plan.uri_endpoint.trim_start_matches("https://");
    let _ = write!(
        text,
        "  CertificateName:\n    Type: String\n    Default: {host}\n    Description: The common name in the subject of the proxy's certificate\n"
    );
    for (name, key) in &keys {
        let _ = write!(
            text,
            "  {name}KeyId:\n    Type: String\n    Description: The KMS key of `xks-proxy kms create-key {key}`\n"
        );
    }
    if plan.vpc_endpoint_service_name.is_some() {
        text.push_str(
            "  NetworkLoadBalancerArn:\n    Type: String\n    Description: Before the proxies, in two Availability Zones at least\n",
        );
    }
    text.push_str(POLICY);
    text.push_str(ALARMS);
    if plan.vpc_endpoint_service_name.is_some() {
        let _ = write!(
            text,
            "  EndpointService:\n    Type: AWS::EC2::VPCEndpointService\n    Properties:\n      AcceptanceRequired: false\n      \
             NetworkLoadBalancerArns: [!Ref NetworkLoadBalancerArn]\n      PrivateDnsName: {host}\n  \
             EndpointServicePermissions:\n    Type: AWS::EC2::VPCEndpointServicePermissions\n    Properties:\n      \
             ServiceId: !Ref EndpointService\n      AllowedPrincipals: [!Sub \"cks.kms.${{AWS::Region}}.amazonaws.com\"]\n"
        );
    }
    for (name, key) in &keys {
        let _ = write!(
            text,
            "  {name}Alias:\n    Type: AWS::KMS::Alias\n    Properties:\n      AliasName: {}\n      TargetKeyId: !Ref {name}KeyId\n",
            quoted(&format!("alias/{}", key.replace('.', "-")))
        );
    }
    text.push_str("Outputs:\n  AdministrationPolicy:\n    Value: !Ref AdministrationPolicy\n");
    text
}

/// A scalar of YAML in double quotes, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What the `kms` commands need.
const POLICY: &str = "\
Resources:
  AdministrationPolicy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: For whoever runs xks-proxy kms
      PolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - Effect: Allow
            Action:
              - kms:CreateCustomKeyStore
              - kms:UpdateCustomKeyStore
              - kms:ConnectCustomKeyStore
              - kms:DisconnectCustomKeyStore
              - kms:DescribeCustomKeyStores
              - kms:CreateKey
              - kms:CreateAlias
              - kms:ListKeys
              - kms:DescribeKey
            Resource: \"*\"
";

/// On the metrics that KMS has of external key stores.
const ALARMS: &str = "  CertificateAlarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: The certificate of the XKS proxy expires soon
      Namespace: AWS/KMS
      MetricName: XksProxyCertificateDaysToExpire
      Dimensions:
        - Name: CustomKeyStoreId
          Value: !Ref CustomKeyStoreId
        - Name: CertificateName
          Value: !Ref CertificateName
      Statistic: Minimum
      Period: 86400
      EvaluationPeriods: 1
      ComparisonOperator: LessThanOrEqualToThreshold
      Threshold: 10
  CredentialAlarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: The credential of the XKS proxy is old, run xks-proxy kms rotate-credential
      Namespace: AWS/KMS
      MetricName: XksProxyCredentialAge
      Dimensions:
        - Name: CustomKeyStoreId
          Value: !Ref CustomKeyStoreId
      Statistic: Maximum
      Period: 86400
      EvaluationPeriods: 1
      ComparisonOperator: GreaterThanThreshold
      Threshold: 90
";
