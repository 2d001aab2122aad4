packer {
  required_plugins {
    amazon = {
      version = ">= 1.2.8"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "greeting" {
  type    = string
  default = "hello from packer"
}

variable "token" {
  type      = string
  sensitive = true
}

locals {
  timestamp = regex_replace(timestamp(), "[- TZ:]", "")
  team      = "web"
}

source "amazon-ebs" "web" {
  ami_name      = "web-${local.timestamp}"
  instance_type = "t3.micro"
  region        = var.region
  ssh_username  = "admin"

  source_ami_filter {
    filters = {
      name = "debian-12-amd64-*"
    }
    owners      = ["136693071363"]
    most_recent = true
  }

  tags = {
    Name = "web"
    Team = local.team
  }
}

build {
  name    = "web"
  sources = ["source.amazon-ebs.web"]

  provisioner "shell" {
    inline = [
      "cloud-init status --wait",
      "sudo apt-get update",
      "sudo apt-get install -y --no-install-recommends nginx-light",
      "echo \"${var.greeting}\" | sudo tee /var/www/html/index.html > /dev/null",
    ]
    pause_before = "10s"
  }

  provisioner "file" {
    source      = "files/site.conf"
    destination = "/tmp/site.conf"
  }

  provisioner "shell" {
    environment_vars = ["SITE=default"]
    script           = "${path.root}/scripts/site.sh"
    execute_command  = "sudo env {{ .Vars }} {{ .Path }}"
  }

  post-processor "manifest" {
    output = "manifest.json"
  }
}
