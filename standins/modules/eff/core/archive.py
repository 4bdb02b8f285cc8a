# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.core.archive: EFF archives can be neither written nor read."""

from eff import refuse


class Archive:
    """An EFF archive; every way to open one is refused."""

    @classmethod
    def create(cls, save_path, **properties):
        """Refuse to write an archive.

        Raises:
            NotImplementedError: Always.
        """
        refuse(f"write the EFF archive {save_path}")

    @classmethod
    def restore_from(cls, restore_path, passphrase=None, **options):
        """Refuse to read an archive.

        Raises:
            NotImplementedError: Always.
        """
        refuse(f"read the EFF archive {restore_path}")

    @classmethod
    def restore_manifest(cls, restore_path, **options):
        """Refuse to read an archive's manifest.

        Raises:
            NotImplementedError: Always.
        """
        refuse(f"read the EFF archive {restore_path}")

    @classmethod
    def restore_artifact(cls, restore_path, artifact_name, passphrase=None, **options):
        """Refuse to read a file out of an archive.

        Raises:
            NotImplementedError: Always.
        """
        refuse(f"read {artifact_name} from the EFF archive {restore_path}")
