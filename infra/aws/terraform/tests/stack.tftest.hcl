mock_provider "aws" {}

variables {
  archive               = "tests/archive.zip"
  bucket                = "releases"
  configuration         = "{\"buckets\": {\"web\": {}}}"
  hcp_workload_provider = "iam/project/00000000-0000-0000-0000-000000000000/service-principal/publisher/workload-identity-provider/aws"
}

run "the_released_template_is_deployed" {
  command = plan

  assert {
    condition     = aws_cloudformation_stack.publisher.template_body == file("../template.json")
    error_message = "the stack is not the released template"
  }

  assert {
    condition     = aws_s3_object.archive.key == "packer-publisher/${filesha256("tests/archive.zip")}.zip"
    error_message = "the key does not follow the archive's content"
  }

  assert {
    condition     = contains(keys(jsondecode(aws_cloudformation_stack.publisher.template_body).Parameters), "HcpWorkloadProvider")
    error_message = "the template has no parameter of that name"
  }
}

run "a_configuration_that_is_neither" {
  command = plan

  variables {
    configuration = "publisher.yaml"
  }

  expect_failures = [var.configuration]
}

run "a_parameter_that_has_a_variable" {
  command = plan

  variables {
    parameters = { Configuration = "{}" }
  }

  expect_failures = [var.parameters]
}

run "an_archive_that_is_none" {
  command = plan

  variables {
    archive = "tests/stack.tftest.hcl"
  }

  expect_failures = [var.archive]
}
