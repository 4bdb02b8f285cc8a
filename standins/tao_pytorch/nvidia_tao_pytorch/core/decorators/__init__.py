# SPDX-License-Identifier: Apache-2.0

"""Decorators around a subtask's main function."""
