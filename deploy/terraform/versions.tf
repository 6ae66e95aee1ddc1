terraform {
  required_version = ">= 1.5"

  required_providers {
    google  = { source = "hashicorp/google", version = ">= 6.10, < 8" }
    archive = { source = "hashicorp/archive", version = ">= 2.4, < 3" }
    time    = { source = "hashicorp/time", version = ">= 0.9, < 1" }
  }
}
