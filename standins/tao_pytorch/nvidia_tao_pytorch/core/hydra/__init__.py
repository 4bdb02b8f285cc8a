# SPDX-License-Identifier: Apache-2.0

"""Reading experiment specs with Hydra."""
