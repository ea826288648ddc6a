# What Google would answer, for the tests of the module and of its examples.

mock_data "google_project" {
  defaults = { number = "120000000001" }
}
mock_resource "google_pubsub_topic" {
  defaults = { id = "projects/my-images/topics/packer-publisher" }
}
mock_resource "google_cloudfunctions2_function" {
  defaults = {
    service_config = { uri = "https://packer-publisher-abc-ew.a.run.app" }
  }
}
mock_resource "google_service_account" {
  defaults = {
    email     = "packer-publisher@my-images.iam.gserviceaccount.com"
    member    = "serviceAccount:packer-publisher@my-images.iam.gserviceaccount.com"
    name      = "projects/my-images/serviceAccounts/packer-publisher@my-images.iam.gserviceaccount.com"
    id        = "projects/my-images/serviceAccounts/packer-publisher@my-images.iam.gserviceaccount.com"
    unique_id = "107517467455664443766"
  }
}
mock_resource "google_logging_project_sink" {
  defaults = { writer_identity = "serviceAccount:service-120000000001@gcp-sa-logging.iam.gserviceaccount.com" }
}
mock_resource "google_logging_folder_sink" {
  defaults = { writer_identity = "serviceAccount:service-folder-5@gcp-sa-logging.iam.gserviceaccount.com" }
}
mock_resource "google_logging_organization_sink" {
  defaults = { writer_identity = "serviceAccount:service-org-7@gcp-sa-logging.iam.gserviceaccount.com" }
}
mock_resource "google_project_iam_custom_role" {
  defaults = { name = "projects/my-images/roles/PackerPublisher" }
}
mock_resource "google_organization_iam_custom_role" {
  defaults = { name = "organizations/7/roles/PackerPublisher" }
}
mock_resource "google_artifact_registry_repository" {
  defaults = { id = "projects/my-images/locations/europe-west1/repositories/packer-publisher" }
}
mock_resource "google_logging_project_bucket_config" {
  defaults = { id = "projects/my-images/locations/europe-west1/buckets/packer-publisher" }
}
