"""What tests of several rooms share: fakes, made-up rows, programs that judge from outside."""
