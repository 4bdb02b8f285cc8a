# SPDX-License-Identifier: Apache-2.0

"""Data structures for deployment."""
