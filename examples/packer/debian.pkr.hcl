# A golden image of Debian, hardened and sealed by hostmend in Packer's ansible provisioner.
#
#   packer init examples/packer
#   packer build -var source=base.qcow2 -var key=$HOME/.ssh/build examples/packer
#
# hostmend is installed beside Packer (from a clone or a wheel), and the base image lets the user "packer" in by that key and
# become root by sudo without a password. The user goes with the shutdown, and its keys before that.
# Packer 1.6, which has no `init` and no block of plugins: packer build -var ... examples/packer/debian.pkr.hcl

variable "source" {
  type        = string
  description = "The disk image to start from."
}

variable "checksum" {
  type        = string
  default     = "none"
  description = "The digest of the disk image, such as sha256:0123..."
}

variable "key" {
  type        = string
  description = "The private key of the user packer in it."
}

source "qemu" "debian" {
  disk_image           = true
  iso_url              = var.source
  iso_checksum         = var.checksum
  format               = "qcow2"
  output_directory     = "output"
  vm_name              = "debian-hardened.qcow2"
  headless             = true
  ssh_username         = "packer"
  ssh_private_key_file = var.key
  ssh_timeout          = "10m"
  shutdown_command     = "sudo sh -c 'rm -f /etc/sudoers.d/packer; userdel --force --remove packer; rm -f /etc/*shadow-; poweroff'"
}

build {
  sources = ["source.qemu.debian"]

  provisioner "ansible" {
    playbook_file = "${path.root}/../../playbooks/golden_image.yml"
    user          = "packer"
    use_proxy     = false
    extra_arguments = [
      "--become",
      "-e", "hostmend_output=${path.cwd}/reports",
      "-e", "@${path.root}/policy.yml",
    ]
    ansible_env_vars = [
      "ANSIBLE_COLLECTIONS_PATH=${path.root}/../../.ansible/collections:~/.ansible/collections",
      "ANSIBLE_PIPELINING=True",
    ]
  }

  # The gate: where the report has something of high severity open, the build fails and Packer keeps no image of it.
  provisioner "shell-local" {
    inline = [
      "hostmend report reports/report.json --query \"length(hosts.*.findings[] | [?status=='open' && (severity=='high' || level=='urgent')])\" > reports/open",
      "test \"$(cat reports/open)\" = 0",
    ]
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "output/debian-hardened.qcow2.{{ .ChecksumType }}"
  }
}
