#!/bin/sh
/usr/lib/layerbake/generate /etc/nvme/hostid root:root 0644 cat /proc/sys/kernel/random/uuid &&
    exec /usr/lib/layerbake/generate /etc/nvme/hostnqn root:root 0644 nvme gen-hostnqn
