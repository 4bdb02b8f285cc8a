# SPDX-License-Identifier: Apache-2.0

"""Setup script of the tao-pytorch stand-in; models register their command under console_scripts."""

import setuptools

setuptools.setup(
    name="nvidia_tao_pytorch",
    version="7.0.1",
    description="Stand-in for NVIDIA's tao-pytorch: base classes only, written for tao-hf-template",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["nvidia_tao_pytorch*"]),
    package_data={"": ["*.yaml"]},
    include_package_data=True,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "classification_pyt=nvidia_tao_pytorch.cv.classification_pyt.entrypoint.classification:main",
        ]
    },
)
