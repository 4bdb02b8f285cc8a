# SPDX-License-Identifier: Apache-2.0

"""Computer-vision models."""
