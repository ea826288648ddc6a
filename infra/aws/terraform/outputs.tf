output "caller" {
  description = "The function as HCP sees it, for the provider's conditional access."
  value       = aws_cloudformation_stack.publisher.outputs["Caller"]
}

output "queue_url" {
  description = "URL of the queue that events rest in."
  value       = aws_cloudformation_stack.publisher.outputs["QueueUrl"]
}

output "dead_letters_url" {
  description = "URL of the queue of what could not be recorded."
  value       = aws_cloudformation_stack.publisher.outputs["DeadLettersUrl"]
}
