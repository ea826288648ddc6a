"use strict";

// A stack is first made with nothing in it but the bucket for the archive, by osls as by Serverless 3, which hand it
// the deployment's parameters all the same (deploy/lib/create-stack.js); CloudFormation refuses parameters that a
// template does not declare. So they are declared from the start, and so are their rules: what cannot be right is
// refused before even the bucket is there.
class FirstStack {
  constructor(serverless) {
    this.hooks = {
      "before:aws:deploy:deploy:createStack": () => {
        const { compiledCloudFormationTemplate: whole, coreCloudFormationTemplate: first } = serverless.service.provider;
        first.Parameters = whole.Parameters;
        first.Rules = whole.Rules;
      },
    };
  }
}

module.exports = FirstStack;
