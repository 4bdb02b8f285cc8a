# SPDX-License-Identifier: Apache-2.0

"""Lightning base classes."""
