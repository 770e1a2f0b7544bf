# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages that were kept before an upgrade, so that it can be taken back without an archive."""

import glob
import os

KEPT = "/var/lib/hostmend/packages"


def kept(name, version, folder=KEPT):
    """Return the path of the .deb that was kept of a version, or None."""
    bare, unused, arch = name.partition(":")
    found = sorted(glob.glob(os.path.join(folder, "%s_%s_%s.deb" % (
        glob.escape(bare), glob.escape(version.replace(":", "%3a")), glob.escape(arch) if arch else "*"))))
    return found[0] if found else None
