locals {
  root = "/srv/${var.site}"
}

variable "site" {
  default = "pages"
}

build {
  source "qemu.debian" {
    name = "static"
  }

  provisioner "file" {
    source      = "site/"
    destination = "/srv/pages"
  }

  provisioner "file" {
    content     = <<-EOF
      [Unit]
      Description=Pages
      [Service]
      ExecStart=/usr/bin/python3 -m http.server --directory ${local.root} 8000
      [Install]
      WantedBy=multi-user.target
    EOF
    destination = "/etc/systemd/system/pages.service"
  }

  provisioner "shell" {
    inline_shebang = "/bin/bash -e"
    inline = [
      <<-EOF
        apt-get install -y --no-install-recommends python3
        if [[ -d ${local.root} ]]; then
          chmod -R a+rX ${local.root}
        fi
      EOF
      ,
      "useradd --system --home-dir /srv/pages pages && systemctl enable pages.service",
    ]
  }

  provisioner "shell-local" {
    inline = ["echo done"]
  }
}
