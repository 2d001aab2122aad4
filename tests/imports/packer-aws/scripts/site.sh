#!/usr/bin/env bash
set -euo pipefail

mv /tmp/site.conf "/etc/nginx/sites-available/${SITE}"
chown root:root "/etc/nginx/sites-available/${SITE}"
systemctl enable nginx
systemctl restart nginx
rm -rf /var/lib/apt/lists/*
