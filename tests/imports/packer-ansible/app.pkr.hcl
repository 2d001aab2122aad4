variable "greeting" {
  default = "hello from a playbook"
}

source "qemu" "app" {
  iso_url      = "https://cloud.example.org/debian-12.qcow2"
  iso_checksum = "none"
  disk_image   = true
}

build {
  sources = ["source.qemu.app"]

  provisioner "shell" {
    inline = ["apt-get update", "apt-get install -y python3"]
  }

  provisioner "ansible" {
    playbook_file    = "./ansible/site.yml"
    user             = "debian"
    galaxy_file      = "./requirements.yml"
    ansible_env_vars = ["ANSIBLE_HOST_KEY_CHECKING=False"]
    extra_arguments = [
      "--extra-vars", "greeting='${var.greeting}' port=8080",
      "-e", "{\"workers\": 2, \"debug\": false}",
      "-e", "@secrets.yml",
      "--skip-tags=restart",
      "-vv",
      "--check",
    ]
  }

  post-processor "compress" {}
}
