# A golden image of Debian, hardened and sealed by hostmend in Packer's ansible provisioner.
#
#   packer init examples/packer && packer build -var source=base.qcow2 -var key=~/.ssh/build examples/packer
#
# hostmend is installed beside Packer (pip install hostmend), and the base image lets the user "packer" in by that key.

packer {
  required_plugins {
    ansible = {
      version = ">= 1.1.0"
      source  = "github.com/hashicorp/ansible"
    }
    qemu = {
      version = ">= 1.1.0"
      source  = "github.com/hashicorp/qemu"
    }
  }
}

variable "source" {
  type        = string
  description = "The disk image to start from."
}

variable "key" {
  type        = string
  description = "The private key of the user packer in it."
}

source "qemu" "debian" {
  disk_image           = true
  iso_url              = var.source
  iso_checksum         = "none"
  format               = "qcow2"
  output_directory     = "output"
  vm_name              = "debian-hardened.qcow2"
  headless             = true
  ssh_username         = "packer"
  ssh_private_key_file = var.key
  shutdown_command     = "sudo systemctl poweroff"
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

  # The gate: what the report has open at or above this severity fails the build.
  post-processor "shell-local" {
    inline = [
      "jq -e '[.hosts[].findings[] | select(.status == \"open\" and .severity == \"high\")] | length == 0' reports/report.json",
      "sha256sum output/debian-hardened.qcow2 > output/debian-hardened.qcow2.sha256",
    ]
  }
}
