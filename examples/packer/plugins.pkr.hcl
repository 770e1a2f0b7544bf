# What Packer 1.7 and newer fetch with `packer init examples/packer`. Older ones have both built in and do not know this
# block: give them debian.pkr.hcl alone, without init.

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
