"""A pipeline is a list of stages that Beam runs here or elsewhere: how, and the work folder that its workers share."""
