# SPDX-License-Identifier: Apache-2.0

"""Hides PyTorch from tao-deploy's commands, because tao-deploy's images have none.

Put hide_in_deploy first on PYTHONPATH, in the deploy context only. Generated deploy code that needs PyTorch
then fails here as it would in the image; and tao-core, which imports a language model in every command where
it finds PyTorch, starts several seconds sooner.
"""

raise ImportError("PyTorch is not available to tao-deploy: its images do not have it.")
