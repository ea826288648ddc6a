# Planned against a mocked provider: nothing here asks Azure.

mock_provider "azurerm" {
  source = "./tests"
}

variables {
  resource_group_name  = "rg"
  location             = "westeurope"
  function_app_name    = "images"
  storage_account_name = "images"
  publisher_config     = "{\"buckets\": {\"golden-ubuntu\": {}}}"
  hcp = {
    project_id        = "11111111-1111-1111-1111-111111111111"
    organization_id   = "22222222-2222-2222-2222-222222222222"
    workload_provider = "iam/project/11111111-1111-1111-1111-111111111111/service-principal/packer-publisher/workload-identity-provider/azure"
    workload_audience = "api://packer-publisher"
  }
}

run "federation" {
  command = apply

  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.app_settings["PUBLISHER_WORKLOAD_AUDIENCE"] == "api://packer-publisher"
    error_message = "The function does not know which token to ask for."
  }
  assert {
    condition     = !contains(keys(azurerm_function_app_flex_consumption.publisher.app_settings), "PUBLISHER_CLIENT_SECRET")
    error_message = "Federation needs no client secret."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.app_settings["AZURE_SUBSCRIPTION_ID"] == "00000000-0000-0000-0000-000000000000"
    error_message = "Without its subscription the sweep sees nothing."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.app_settings["PUBLISHER_STORAGE__queueServiceUri"] == "https://images.queue.core.windows.net/" && azurerm_function_app_flex_consumption.publisher.app_settings["PUBLISHER_STORAGE__clientId"] == "33333333-3333-3333-3333-333333333333"
    error_message = "The queue's connection does not name the account and the identity."
  }
  assert {
    condition     = !anytrue([for text in values(azurerm_function_app_flex_consumption.publisher.app_settings) : strcontains(text, "AccountKey")])
    error_message = "A setting holds a storage key."
  }
  assert {
    condition     = azurerm_storage_account.publisher.shared_access_key_enabled == false && azurerm_storage_account.publisher.allow_nested_items_to_be_public == false
    error_message = "The storage account can be opened without an identity."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.images.storage_queue_endpoint[0].queue_message_time_to_live_in_seconds == 604800
    error_message = "Events are to wait for seven days."
  }
  assert {
    condition     = azurerm_storage_queue.poison.name == "${azurerm_storage_queue.events.name}-poison"
    error_message = "The host gives messages up to a queue of this name, and no other."
  }
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.log) == 6 && length(azurerm_monitor_metric_alert.dead_letters) == 1
    error_message = "An alert is missing."
  }
  assert {
    condition     = output.token_issuer == "https://sts.windows.net/99999999-9999-9999-9999-999999999999/"
    error_message = "Tokens of version 1 name their issuer with a slash at the end."
  }
  assert {
    condition     = keys(azurerm_role_assignment.images) == ["/subscriptions/00000000-0000-0000-0000-000000000000"]
    error_message = "Images are read in the whole subscription unless somebody says otherwise."
  }
}

run "client_secret_in_key_vault" {
  command = apply

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      client_id               = "made-up"
      client_secret_reference = "https://contoso.vault.azure.net/secrets/hcp"
    }
    key_vault_secret_scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/contoso"
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.app_settings["PUBLISHER_CLIENT_SECRET"] == "https://contoso.vault.azure.net/secrets/hcp"
    error_message = "The function does not know where its secret is."
  }
  assert {
    condition     = azurerm_role_assignment.secret[0].role_definition_name == "Key Vault Secrets User"
    error_message = "The function may not read its secret."
  }
}

run "what_exists_already_is_used" {
  command = apply

  variables {
    identity = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-security/providers/Microsoft.ManagedIdentity/userAssignedIdentities/hcp"
      client_id    = "88888888-8888-8888-8888-888888888888"
      principal_id = "66666666-6666-6666-6666-666666666666"
    }
    existing_system_topic           = { name = "events", resource_group_name = "rg-platform" }
    image_reader_role_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    log_analytics_workspace_id      = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/Microsoft.OperationalInsights/workspaces/central"
    role_assignment_condition       = "(@Request[x] StringEquals 'y')"
  }

  assert {
    condition     = length(azurerm_user_assigned_identity.publisher) + length(azurerm_eventgrid_system_topic.subscription) + length(azurerm_role_definition.image_reader) + length(azurerm_log_analytics_workspace.publisher) == 0
    error_message = "Something was created that was there already."
  }
  assert {
    condition     = alltrue([for assignment in azurerm_role_assignment.images : assignment.principal_id == "66666666-6666-6666-6666-666666666666" && assignment.condition_version == "2.0"])
    error_message = "The existing identity may not read images, or the condition was dropped."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.images.resource_group_name == "rg-platform"
    error_message = "The event subscription belongs to the existing topic."
  }
}

run "network_and_keys" {
  command = apply

  variables {
    subnet_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/functions"
    private_endpoints = { subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints" }
    allowed_ip_ranges = ["203.0.113.7/32"]
    proxy             = { https_proxy = "http://proxy.example.com:3128", no_proxy = [".example.com"] }
    ca_bundle         = "authorities.pem"
    encryption_key = {
      key_id      = "https://contoso.vault.azure.net/keys/images"
      identity_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/keys"
    }
  }

  assert {
    condition     = azurerm_storage_account.publisher.network_rules[0].default_action == "Deny" && contains(azurerm_storage_account.publisher.network_rules[0].bypass, "AzureServices") && contains(azurerm_storage_account.publisher.network_rules[0].ip_rules, "203.0.113.7")
    error_message = "Storage is open, or closed to Event Grid."
  }
  assert {
    condition     = length(azurerm_private_endpoint.storage) == 3
    error_message = "The host needs blobs, queues and tables."
  }
  assert {
    condition     = strcontains(azurerm_function_app_flex_consumption.publisher.app_settings["NO_PROXY"], "169.254.0.0/16,images.blob.core.windows.net,") && endswith(azurerm_function_app_flex_consumption.publisher.app_settings["NO_PROXY"], ",.example.com")
    error_message = "The identity endpoint, or storage behind its private endpoint, would be asked through the proxy."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.app_settings["SSL_CERT_FILE"] == "/home/site/wwwroot/authorities.pem"
    error_message = "The private certificate authorities are not trusted."
  }
  assert {
    condition     = azurerm_storage_account.publisher.customer_managed_key[0].key_vault_key_id == "https://contoso.vault.azure.net/keys/images" && azurerm_storage_account.publisher.queue_encryption_key_type == "Account"
    error_message = "The key does not hold for queues."
  }
}

# Planned only: an apply would ask the Azure CLI. The package is any file that is there.
run "the_package_is_deployed" {
  command = plan

  variables {
    package = "versions.tf"
  }

  assert {
    condition     = length(terraform_data.package) == 1
    error_message = "The function has no code."
  }
}

run "paused" {
  command = apply

  variables {
    enabled = false
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.publisher.enabled == false
    error_message = "The function runs."
  }
  assert {
    condition     = !contains(keys(azurerm_monitor_scheduled_query_rules_alert_v2.log), "no-sweep")
    error_message = "Somebody is told that a paused function does not sweep."
  }
}

run "bad_values_are_refused" {
  command = plan

  variables {
    resource_group_name             = "/subscriptions/x/resourceGroups/rg"
    location                        = "europe!"
    function_app_name               = "Images_"
    storage_account_name            = "images-storage"
    name                            = "P"
    publisher_config                = "{\"bucket\": {}}"
    settings                        = { PUBLISHER_EXPECT = "azure" }
    package                         = "there/is/no/such/azure.zip"
    event_retention_days            = 1
    identity                        = { id = "packer-publisher", client_id = "x", principal_id = "y" }
    image_reader_role_definition_id = "Reader"
    image_scopes                    = ["/subscriptions/00000000-0000-0000-0000-000000000000"]
    key_vault_secret_scope          = "https://contoso.vault.azure.net/secrets/hcp"
    subnet_id                       = "functions"
    proxy                           = { https_proxy = "http://user:secret@proxy.example.com" }
    ca_bundle                       = "/etc/ssl/ca.pem"
    encryption_key                  = { key_id = "contoso", identity_id = "x" }
    storage_replication             = "zrs"
    log_analytics_workspace_id      = "central"
    log_retention_days              = 7
    action_group_ids                = ["on-call"]
    alert_thresholds                = { oldest_waiting_version_hours = 12 }
  }

  expect_failures = [
    var.resource_group_name, var.location, var.function_app_name, var.storage_account_name, var.name,
    var.publisher_config, var.settings, var.package, var.event_retention_days, var.identity,
    var.image_reader_role_definition_id, var.image_scopes, var.key_vault_secret_scope, var.subnet_id,
    var.proxy, var.ca_bundle, var.encryption_key, var.storage_replication,
    var.log_analytics_workspace_id, var.log_retention_days, var.action_group_ids, var.alert_thresholds,
  ]
}

run "both_kinds_of_credentials_are_refused" {
  command = plan

  variables {
    hcp = {
      project_id              = "11111111-1111-1111-1111-111111111111"
      organization_id         = "22222222-2222-2222-2222-222222222222"
      workload_provider       = "iam/project/x/service-principal/y/workload-identity-provider/z"
      workload_audience       = "api://x"
      client_secret_reference = "https://contoso.vault.azure.net/secrets/hcp"
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
      workload_audience = "api://x"
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
      workload_audience = "api://x"
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
      workload_provider = "azure-images"
      workload_audience = "api://x"
    }
  }

  expect_failures = [var.hcp]
}

run "federation_without_an_audience_is_refused" {
  command = plan

  variables {
    hcp = {
      project_id        = "11111111-1111-1111-1111-111111111111"
      organization_id   = "22222222-2222-2222-2222-222222222222"
      workload_provider = "iam/project/x/service-principal/y/workload-identity-provider/z"
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
      client_secret_reference = "https://contoso.vault.azure.net/secrets/hcp"
    }
  }

  assert {
    condition     = !contains(keys(local.credentials), "HCP_CLIENT_ID")
    error_message = "The client id would be empty, and not the secret's own."
  }
}

run "a_secret_in_place_of_its_address_is_refused" {
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

run "private_endpoints_without_a_network_are_refused" {
  command = plan

  variables {
    private_endpoints = { subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints" }
  }

  expect_failures = [var.private_endpoints]
}

run "a_dns_zone_of_nothing_is_refused" {
  command = plan

  variables {
    subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/functions"
    private_endpoints = {
      subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints"
      dns_zones = { file = [] }
    }
  }

  expect_failures = [var.private_endpoints]
}

# Apart: what depends on a variable that is wrong itself is not looked at.
run "an_address_that_is_no_range_is_refused" {
  command = plan

  variables {
    subnet_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/spoke/subnets/functions"
    allowed_ip_ranges = ["203.0.113.7"]
  }

  expect_failures = [var.allowed_ip_ranges]
}

# The account's firewall would shut out the function.
run "address_ranges_without_a_network_are_refused" {
  command = plan

  variables {
    allowed_ip_ranges = ["203.0.113.0/24"]
  }

  expect_failures = [var.allowed_ip_ranges]
}

run "a_log_level_that_hides_the_sweep_is_refused" {
  command = plan

  variables {
    settings = { PUBLISHER_LOG_LEVEL = "warning" }
  }

  expect_failures = [var.settings]
}

run "an_existing_topic_without_an_identity_is_refused" {
  command = plan

  override_data {
    target = data.azurerm_eventgrid_system_topic.existing[0]
    values = { identity = [] }
  }

  variables {
    existing_system_topic = { name = "events", resource_group_name = "rg-platform" }
  }

  expect_failures = [data.azurerm_eventgrid_system_topic.existing[0]]
}
