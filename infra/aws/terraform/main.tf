# The released template as it is, deployed by Terraform: the rules, the queue and the function are described once, in
# serverless.yml, and checked once. Forwarders of other regions: the same resource with forwarder.yml, one for each
# region and its provider.
locals {
  key = "packer-publisher/${filesha256(var.archive)}.zip" # a new key for new code, or CloudFormation sees no change
}

resource "aws_s3_object" "archive" {
  bucket = var.bucket
  key    = local.key
  source = var.archive
}

resource "aws_cloudformation_stack" "publisher" {
  name          = var.name
  template_body = file("${path.module}/../template.json")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  tags          = var.tags

  parameters = merge(var.parameters, {
    CodeBucket          = aws_s3_object.archive.bucket
    CodeKey             = aws_s3_object.archive.key
    Configuration       = var.configuration
    HcpWorkloadProvider = var.hcp_workload_provider == null ? "" : var.hcp_workload_provider
  })
}
