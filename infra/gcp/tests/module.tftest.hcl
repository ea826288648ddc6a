# Planned against a mocked provider: nothing here asks Google. The package is any file that is there.

mock_provider "google" {
  source = "./tests"
}

variables {
  project_id       = "my-images"
  region           = "europe-west1"
  package          = "versions.tf"
  publisher_config = "{\"buckets\": {\"golden-ubuntu\": {}}}"
  hcp = {
    project_id        = "11111111-1111-1111-1111-111111111111"
    organization_id   = "22222222-2222-2222-2222-222222222222"
    workload_provider = "iam/project/11111111-1111-1111-1111-111111111111/service-principal/packer-publisher/workload-identity-provider/gcp"
  }
}

run "one_project" {
  command = apply

  assert {
    condition     = length(google_logging_project_sink.images) == 1 && google_logging_project_sink.images[0].project == "my-images" && length(google_logging_folder_sink.images) + length(google_logging_organization_sink.images) == 0
    error_message = "One project has one sink, its own."
  }
  assert {
    condition     = google_project_iam_member.images[0].role == "projects/my-images/roles/PackerPublisher" && length(google_organization_iam_member.images) + length(google_folder_iam_member.images) == 0
    error_message = "Images are read in the one project, and nowhere else."
  }
  assert {
    condition     = toset(google_project_iam_custom_role.image_reader[0].permissions) == toset(["compute.images.get", "compute.images.list"])
    error_message = "The custom role allows something else than reading images."
  }
  assert {
    condition     = length(google_pubsub_subscription.function.dead_letter_policy) == 0 && google_pubsub_subscription.function.message_retention_duration == "604800s" && google_pubsub_subscription.function.retry_policy[0].maximum_backoff == "600s"
    error_message = "An outage of a day must not make a dead letter of an event."
  }
  assert {
    condition     = google_pubsub_subscription.function.push_config[0].oidc_token[0].audience == google_pubsub_subscription.function.push_config[0].push_endpoint
    error_message = "Cloud Run takes tokens for its own address only."
  }
  assert {
    condition     = google_pubsub_subscription.function.ack_deadline_seconds > google_cloudfunctions2_function.publisher.service_config[0].timeout_seconds
    error_message = "An event would be delivered again while it is being handled."
  }
  assert {
    condition     = google_pubsub_subscription.function.expiration_policy[0].ttl == "" && google_pubsub_subscription.poison.expiration_policy[0].ttl == ""
    error_message = "A subscription without traffic would go after a month."
  }
  assert {
    condition     = google_cloudfunctions2_function.publisher.service_config[0].environment_variables["GOOGLE_CLOUD_PROJECT"] == "my-images" && !contains(keys(google_cloudfunctions2_function.publisher.service_config[0].environment_variables), "PUBLISHER_PROJECTS")
    error_message = "The sweep does not know its project."
  }
  assert {
    condition     = !contains(keys(google_cloudfunctions2_function.publisher.service_config[0].environment_variables), "PUBLISHER_CLIENT_SECRET")
    error_message = "Federation needs no client secret."
  }
  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.sweep["daily"].pubsub_target[0].data)) == { packer-publisher = { sweep = { window = "14d" } } }
    error_message = "The daily sweep asks for something else than two weeks."
  }
  assert {
    condition     = length(google_monitoring_alert_policy.log) + length(google_monitoring_alert_policy.metric) == 6
    error_message = "An alert is missing."
  }
  assert {
    condition     = output.service_account.unique_id == "107517467455664443766"
    error_message = "HCP's conditional access names the service account by its number."
  }
}

run "images_of_another_project" {
  command = apply

  variables {
    scope = { project = "team-images" }
  }

  assert {
    condition     = google_logging_project_sink.images[0].project == "team-images" && google_project_iam_member.images[0].project == "team-images" && google_cloudfunctions2_function.publisher.service_config[0].environment_variables["GOOGLE_CLOUD_PROJECT"] == "team-images" && google_cloudfunctions2_function.publisher.project == "my-images"
    error_message = "The function belongs into its own project, everything about images into theirs."
  }
}

run "a_folder" {
  command = apply

  variables {
    scope           = { folder = "5" }
    organization_id = "7"
    sweep_projects  = ["team-a", "team-b1"]
    package         = "versions.tf"
  }

  assert {
    condition     = google_logging_folder_sink.images[0].include_children && google_pubsub_topic_iam_member.sink.member == "serviceAccount:service-folder-5@gcp-sa-logging.iam.gserviceaccount.com"
    error_message = "The folder's sink does not see its projects, or may not write."
  }
  assert {
    condition     = google_folder_iam_member.images[0].folder == "folders/5" && google_folder_iam_member.images[0].role == "organizations/7/roles/PackerPublisher"
    error_message = "Images are read in the folder, by a role of the organization."
  }
  assert {
    condition     = google_cloudfunctions2_function.publisher.service_config[0].environment_variables["PUBLISHER_PROJECTS"] == "team-a team-b1"
    error_message = "The sweep does not know its projects."
  }
}

run "the_organization" {
  command = apply

  variables {
    scope             = { organization = "7" }
    image_reader_role = "roles/compute.viewer"
    iam_condition     = { title = "images", expression = "resource.type == 'compute.googleapis.com/Image'" }
  }

  assert {
    condition     = google_logging_organization_sink.images[0].include_children && google_pubsub_topic_iam_member.sink.member == "serviceAccount:service-org-7@gcp-sa-logging.iam.gserviceaccount.com"
    error_message = "The organization's sink does not see its projects, or may not write."
  }
  assert {
    condition     = length(google_organization_iam_custom_role.image_reader) == 0 && google_organization_iam_member.images[0].role == "roles/compute.viewer" && google_organization_iam_member.images[0].condition[0].title == "images"
    error_message = "The existing role is to be used, with its condition."
  }
}

run "client_secret_network_and_keys" {
  command = apply

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      client_id               = "made-up"
      client_secret_reference = "projects/central/secrets/hcp/versions/3"
    }
    service_account_email = "images@central.iam.gserviceaccount.com"
    vpc_connector         = "projects/my-images/locations/europe-west1/connectors/functions"
    proxy                 = { https_proxy = "http://proxy.example.com:3128" }
    ca_bundle_secret      = "authorities"
    kms_key               = "projects/central/locations/europe-west1/keyRings/r/cryptoKeys/k"
    resource_tags         = ["tagValues/1"]
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.client_secret[0].project == "central" && google_secret_manager_secret_iam_member.client_secret[0].secret_id == "hcp" && google_secret_manager_secret_iam_member.client_secret[0].member == "serviceAccount:images@central.iam.gserviceaccount.com"
    error_message = "The function may not read its secret."
  }
  assert {
    condition     = length(google_service_account.publisher) == 0
    error_message = "A service account was created that was there already."
  }
  assert {
    condition     = strcontains(google_cloudfunctions2_function.publisher.service_config[0].environment_variables["NO_PROXY"], "metadata.google.internal")
    error_message = "The metadata server would be asked through the proxy."
  }
  assert {
    condition     = google_cloudfunctions2_function.publisher.service_config[0].environment_variables["SSL_CERT_FILE"] == "${google_cloudfunctions2_function.publisher.service_config[0].secret_volumes[0].mount_path}/${google_cloudfunctions2_function.publisher.service_config[0].secret_volumes[0].versions[0].path}"
    error_message = "The authorities are mounted somewhere else than they are read."
  }
  assert {
    condition     = google_pubsub_topic.events.kms_key_name == var.kms_key && google_pubsub_topic.poison.kms_key_name == var.kms_key && google_cloudfunctions2_function.publisher.kms_key_name == var.kms_key && length(google_kms_crypto_key_iam_member.agents) == 5
    error_message = "The key is not used, or may not be."
  }
  assert {
    condition     = google_cloudfunctions2_function.publisher.service_config[0].vpc_connector_egress_settings == "ALL_TRAFFIC"
    error_message = "Calls to HCP would leave past the network."
  }
}

run "paused" {
  command = apply

  variables {
    enabled = false
  }

  assert {
    condition     = length(google_pubsub_subscription.function.push_config) == 0 && alltrue([for job in google_cloud_scheduler_job.sweep : job.paused])
    error_message = "Something is still sent to the function."
  }
  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.metric), "no-sweep")
    error_message = "Somebody is told that a paused function does not sweep."
  }
}

run "bad_values_are_refused" {
  command = plan

  variables {
    project_id            = "120000000001"
    region                = "europe"
    scope                 = { folder = "folders/5" }
    sweep_projects        = ["120000000001"]
    name                  = "pp"
    publisher_config      = "{\"bucket\": {}}"
    settings              = { PUBLISHER_EXPECT = "gce" }
    package               = "there/is/no/such/gcp.zip"
    service_account_email = "packer-publisher"
    image_reader_role     = "compute.viewer"
    resource_tags         = ["env/prod"]
    ingress               = "internal"
    vpc_connector         = "functions"
    proxy                 = { https_proxy = "http://user:secret@proxy.example.com" }
    ca_bundle_secret      = "projects/p/secrets/s"
    log_retention_days    = 0
    notification_channels = ["on-call"]
    alert_thresholds      = { oldest_waiting_version_hours = 12 }
    labels                = { Owner = "platform" }
  }

  expect_failures = [
    var.project_id, var.region, var.scope, var.sweep_projects, var.name, var.publisher_config, var.settings, var.package,
    var.service_account_email, var.image_reader_role, var.resource_tags, var.ingress,
    var.vpc_connector, var.proxy, var.ca_bundle_secret, var.log_retention_days, var.notification_channels,
    var.alert_thresholds, var.labels,
  ]
}

# Apart: what depends on a variable that is wrong itself is not looked at.
run "more_bad_values_are_refused" {
  command = plan

  variables {
    organization_id = "organizations/7"
    kms_key         = "projects/central/locations/us-east1/keyRings/r/cryptoKeys/k"
  }

  expect_failures = [var.organization_id, var.kms_key]
}

run "a_version_of_a_key_and_a_projects_number_are_refused" {
  command = plan

  variables {
    scope   = { project = "120000000001" }
    kms_key = "projects/central/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
  }

  expect_failures = [var.scope, var.kms_key]
}

run "two_scopes_are_refused" {
  command = plan

  variables {
    scope = { folder = "5", organization = "7" }
  }

  expect_failures = [var.scope]
}

run "a_folder_without_an_organization_is_refused" {
  command = plan

  variables {
    scope = { folder = "5" }
  }

  expect_failures = [var.organization_id]
}

run "both_kinds_of_credentials_are_refused" {
  command = plan

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      workload_provider       = "iam/project/x/service-principal/y/workload-identity-provider/z"
      client_secret_reference = "projects/central/secrets/hcp/versions/3"
    }
  }

  expect_failures = [var.hcp]
}

run "a_client_id_without_its_secret_is_refused" {
  command = plan

  variables {
    hcp = {
      project_id        = "11111111-1111-1111-1111-111111111111"
      organization_id   = "22222222-2222-2222-2222-222222222222"
      workload_provider = "iam/project/x/service-principal/y/workload-identity-provider/z"
      client_id         = "x"
    }
  }

  expect_failures = [var.hcp]
}

run "names_in_place_of_hcps_ids_are_refused" {
  command = plan

  variables {
    hcp = {
      project_id        = "my-project"
      organization_id   = "22222222-2222-2222-2222-222222222222"
      workload_provider = "iam/project/x/service-principal/y/workload-identity-provider/z"
    }
  }

  expect_failures = [var.hcp]
}

run "a_provider_that_is_no_resource_name_is_refused" {
  command = plan

  variables {
    hcp = {
      project_id        = "11111111-1111-1111-1111-111111111111"
      organization_id   = "22222222-2222-2222-2222-222222222222"
      workload_provider = "gcp-images"
    }
  }

  expect_failures = [var.hcp]
}

run "no_credentials_are_refused" {
  command = plan

  variables {
    hcp = {
      project_id      = "11111111-1111-1111-1111-111111111111"
      organization_id = "22222222-2222-2222-2222-222222222222"
    }
  }

  expect_failures = [var.hcp]
}

run "a_client_id_in_the_secret_itself" {
  command = plan

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      client_secret_reference = "projects/central/secrets/hcp/versions/latest"
    }
  }

  assert {
    condition     = !contains(keys(local.credentials), "HCP_CLIENT_ID")
    error_message = "The client id would be empty, and not the secret's own."
  }
}

run "a_secret_in_place_of_its_name_is_refused" {
  command = plan

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      client_id               = "x"
      client_secret_reference = "made-up-secret"
    }
  }

  expect_failures = [var.hcp]
}

run "a_log_level_that_hides_the_sweep_is_refused" {
  command = plan

  variables {
    settings = { PUBLISHER_LOG_LEVEL = "warning" }
  }

  expect_failures = [var.settings]
}
