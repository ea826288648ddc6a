# The function and its logs. Events are in events.tf, the storage account in storage.tf, roles in access.tf.

data "azurerm_subscription" "current" {}

locals {
  identity = var.identity == null ? {
    id           = azurerm_user_assigned_identity.publisher[0].id
    client_id    = azurerm_user_assigned_identity.publisher[0].client_id
    principal_id = azurerm_user_assigned_identity.publisher[0].principal_id
  } : var.identity

  workspace_id = var.log_analytics_workspace_id == null ? azurerm_log_analytics_workspace.publisher[0].id : var.log_analytics_workspace_id

  credentials = var.hcp.workload_provider != null ? {
    PUBLISHER_WORKLOAD_PROVIDER = var.hcp.workload_provider
    PUBLISHER_WORKLOAD_AUDIENCE = var.hcp.workload_audience
    } : merge(
    { PUBLISHER_CLIENT_SECRET = var.hcp.client_secret_reference },
    var.hcp.client_id == null ? {} : { HCP_CLIENT_ID = var.hcp.client_id },
  )

  # The identity endpoint of the platform is a local address, and the token that it hands out is for nobody else. What has
  # a private endpoint no proxy can reach.
  proxy = var.proxy == null ? {} : {
    HTTPS_PROXY = var.proxy.https_proxy
    NO_PROXY = join(",", concat(
      ["localhost", "127.0.0.1", "169.254.0.0/16"],
      var.private_endpoints == null ? [] : [for kind in ["blob", "queue", "table"] : "${var.storage_account_name}.${kind}.core.windows.net"],
      var.proxy.no_proxy,
    ))
  }

  # httpx reads the first, requests (under Azure's SDK) the second.
  authorities = var.ca_bundle == null ? {} : {
    SSL_CERT_FILE      = "/home/site/wwwroot/${var.ca_bundle}"
    REQUESTS_CA_BUNDLE = "/home/site/wwwroot/${var.ca_bundle}"
  }
}

resource "azurerm_service_plan" "publisher" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  os_type             = "Linux"
  sku_name            = "FC1"
  tags                = var.tags
}

resource "azurerm_function_app_flex_consumption" "publisher" {
  name                = var.function_app_name
  resource_group_name = var.resource_group_name
  location            = var.location
  service_plan_id     = azurerm_service_plan.publisher.id
  enabled             = var.enabled
  tags                = var.tags

  runtime_name    = "python"
  runtime_version = "3.13"
  # Images are few, and every one of them is written to one registry: more instances would only meet each other there.
  maximum_instance_count = 40 # the least that the platform takes; host.json keeps each at one message
  instance_memory_in_mb  = 2048

  storage_container_type            = "blobContainer"
  storage_container_endpoint        = "${azurerm_storage_account.publisher.primary_blob_endpoint}${azurerm_storage_container.package.name}"
  storage_authentication_type       = "UserAssignedIdentity"
  storage_user_assigned_identity_id = local.identity.id

  https_only                                     = true
  client_certificate_enabled                     = false # there is nothing to call
  public_network_access_enabled                  = true  # of the deployment endpoint; the app itself refuses everybody, below
  webdeploy_publish_basic_authentication_enabled = false
  virtual_network_subnet_id                      = var.subnet_id

  identity {
    type         = "UserAssigned"
    identity_ids = [local.identity.id]
  }

  site_config {
    application_insights_connection_string = azurerm_application_insights.publisher.connection_string
    minimum_tls_version                    = "1.2"
    scm_minimum_tls_version                = "1.2"
    http2_enabled                          = true
    vnet_route_all_enabled                 = var.subnet_id != null
    # No function here is called over HTTP.
    ip_restriction_default_action     = "Deny"
    scm_use_main_ip_restriction       = false
    scm_ip_restriction_default_action = length(var.allowed_ip_ranges) == 0 ? "Allow" : "Deny"

    dynamic "scm_ip_restriction" {
      for_each = var.allowed_ip_ranges
      content {
        name       = "deploy-${scm_ip_restriction.key}"
        action     = "Allow"
        priority   = 100 + scm_ip_restriction.key
        ip_address = scm_ip_restriction.value
      }
    }
  }

  app_settings = merge(
    local.credentials,
    local.proxy,
    local.authorities,
    var.settings,
    {
      HCP_PROJECT_ID        = var.hcp.project_id
      HCP_ORGANIZATION_ID   = var.hcp.organization_id
      PUBLISHER_CONFIG      = var.publisher_config
      PUBLISHER_QUEUE       = azurerm_storage_queue.events.name
      AZURE_CLIENT_ID       = local.identity.client_id
      AZURE_SUBSCRIPTION_ID = data.azurerm_subscription.current.subscription_id

      PUBLISHER_STORAGE__queueServiceUri = azurerm_storage_account.publisher.primary_queue_endpoint
      PUBLISHER_STORAGE__credential      = "managedidentity"
      PUBLISHER_STORAGE__clientId        = local.identity.client_id

      # The provider writes a connection string without a key here, for identities, too, unless it is named
      # (hashicorp/terraform-provider-azurerm issues 29693 and 30732). The host reads the three below.
      AzureWebJobsStorage              = ""
      AzureWebJobsStorage__accountName = azurerm_storage_account.publisher.name
      AzureWebJobsStorage__credential  = "managedidentity"
      AzureWebJobsStorage__clientId    = local.identity.client_id

      APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=${local.identity.client_id};Authorization=AAD"
      # The alerts below count lines: none may be left out.
      AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__isEnabled = "false"
    },
  )

  depends_on = [
    azurerm_role_assignment.host_storage,
    azurerm_role_assignment.host_tables,
    azurerm_role_assignment.queues,
    azurerm_role_assignment.images,
    azurerm_role_assignment.telemetry,
    azurerm_role_assignment.secret,
    azurerm_private_endpoint.storage,
  ]
}

# Through the Azure CLI, because the provider's own zip_deploy_file needs a publishing password.
resource "terraform_data" "package" {
  count            = var.package == null ? 0 : 1
  triggers_replace = [azurerm_function_app_flex_consumption.publisher.id, filesha256(var.package)]

  provisioner "local-exec" {
    command = "az functionapp deployment source config-zip --only-show-errors --subscription \"$SUBSCRIPTION\" --resource-group \"$GROUP\" --name \"$APP\" --src \"$PACKAGE\""
    environment = {
      SUBSCRIPTION = data.azurerm_subscription.current.subscription_id
      GROUP        = var.resource_group_name
      APP          = azurerm_function_app_flex_consumption.publisher.name
      PACKAGE      = abspath(var.package)
    }
  }
}

resource "azurerm_log_analytics_workspace" "publisher" {
  count                        = var.log_analytics_workspace_id == null ? 1 : 0
  name                         = var.name
  resource_group_name          = var.resource_group_name
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = var.log_retention_days
  local_authentication_enabled = false
  tags                         = var.tags
}

resource "azurerm_application_insights" "publisher" {
  name                          = var.name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  application_type              = "other"
  workspace_id                  = local.workspace_id
  sampling_percentage           = 100
  local_authentication_disabled = true
  tags                          = var.tags
}
