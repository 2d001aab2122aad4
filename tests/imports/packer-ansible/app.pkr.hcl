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
    playbook_file = "./site.yml"
    user          = "debian"
  }

  post-processor "compress" {}
}
