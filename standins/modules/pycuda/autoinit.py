# SPDX-License-Identifier: Apache-2.0

"""Stand-in for pycuda.autoinit: importing it leaves a current context, as the real one does."""

from pycuda import driver

IS_STAND_IN = True

driver.init()
device = driver.Device(0)
context = device.make_context()
