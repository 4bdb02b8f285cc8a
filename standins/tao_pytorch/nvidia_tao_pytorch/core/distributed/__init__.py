# SPDX-License-Identifier: Apache-2.0

"""Talking between processes."""
